//! The workflows, one per file, their steps in the order of execution. `worker.rs` registers them.

mod create_image;
mod create_instance;
mod damaged_image;
mod delete_image;
mod delete_instance;
mod instance_steps;
mod restore_image;
mod start_instance;
mod stop_instance;
mod test_platform;
mod verify_image;
mod workers_seen;

pub use create_image::CreateImage;
pub use create_instance::CreateInstance;
pub use delete_image::DeleteImage;
pub use delete_instance::DeleteInstance;
pub use restore_image::RestoreImage;
pub use start_instance::StartInstance;
pub use stop_instance::StopInstance;
pub use test_platform::TestPlatform;
pub use verify_image::VerifyImage;
