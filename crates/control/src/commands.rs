//! What users can do: each command checks the role, changes rows, writes the audit entry and starts the run. Queries are in
//! the modules named by nouns.

mod back_up;
mod connect_instance;
mod create_instance;
mod delete_image;
mod delete_instance;
mod export_audit;
mod probe_store;
mod reserve_instance;
mod reveal_password;
mod runs;
mod start_stop;
mod stores;
mod test_platform;
mod verify_image;

pub use back_up::back_up;
pub use connect_instance::connect_instance;
pub use create_instance::create_instance;
pub use delete_image::delete_image;
pub use delete_instance::delete_instance;
pub use export_audit::export_audit;
pub use reveal_password::reveal_password;
pub use runs::{accept_run, cancel_run, retry_run};
pub use start_stop::{start_instance, stop_instance};
pub use stores::{add_store, remove_store, set_default_store, set_store_access, test_store};
pub use test_platform::test_platform;
pub use verify_image::verify_image;
