//! Plain data that travels between the server, the agent and the browser; it knows no database, no network and no UI.

pub mod agent;
pub mod failure;
pub mod id;
pub mod image;
pub mod instance;
pub mod log;
pub mod name;
pub mod overview;
pub mod page;
pub mod platform;
pub mod restore;
pub mod run;
pub mod store;
pub mod user;
pub mod workers;

mod text_enum;

pub use agent::{
    AgentEvent, AgentResult, AgentTask, Connection, EventBody, ExitClass, Level, Location, Outcome, Work,
};
pub use failure::{Explanation, Failure, FailureCode};
pub use id::{ImageId, InstanceId, PlatformId, RunId, StoreId, TokenId, UserId};
pub use image::{
    Database, Extension, Image, ImageDetail, ImageKind, ImageStatus, ImageType, Manifest, Object, Source,
    Table,
};
pub use instance::{Health, Instance, InstanceStatus, Origin, TlsMode};
pub use log::{LogFilter, LogPage, LogStretch};
pub use name::{Name, NameError};
pub use page::Page;
pub use platform::{PlatformInfo, PlatformKind};
pub use run::{LogLine, Progress, Receipt, Run, RunState, StepRow, StepState, WorkflowName};
pub use store::{StoreAccess, StoreAuth, StoreAuthKind, Transfer};
pub use user::{Actor, Role};
