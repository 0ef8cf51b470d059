//! The data that the server, the agent and the browser exchange.
//!
//! The types are plain data with `serde`. They do not know a database, a network or a user interface. The features `sqlx` and
//! `openapi` add the types' encoding in PostgreSQL and their schema in the REST API.
//!
//! - [`Instance`], [`Image`], [`Run`]: what the dashboard and the REST API show, with their ids ([`InstanceId`], …).
//! - [`Manifest`]: the description of an image in its store.
//! - [`AgentTask`], [`AgentEvent`], [`AgentResult`]: the contract between the server and the agent.
//! - [`Failure`], [`FailureCode`]: what went wrong. Programs decide on the code; [`FailureCode::explanation`] has the cause
//!   and the fix for users.
//! - [`StoreAccess`]: how a store is opened, without secrets.
//! - [`Name`], [`Role`], [`Page`]: names, permissions, and pages of lists.
//!
//! # Example
//!
//! A job that could not read its image, as the agent reports it and the page shows it:
//!
//! ```
//! use model::{AgentResult, ExitClass, Failure, FailureCode};
//!
//! let failure = Failure::new(FailureCode::ObjectMissing, "404 BlobNotFound").on("0/schema.dump");
//! let result = AgentResult { failure: Some(failure), events: 12, outcome: None };
//! assert_eq!(result.class(), ExitClass::Verification);
//!
//! let json = serde_json::to_string(&result)?;
//! let read: AgentResult = serde_json::from_str(&json)?;
//! let failure = read.failure.expect("the job failed");
//! assert!(failure.code.is_permanent());
//! assert_eq!(failure.message(), "0/schema.dump: An object of the image does not exist in the store.");
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod agent;
pub mod client_version;
pub mod failure;
pub mod id;
pub mod image;
pub mod instance;
pub mod log;
pub mod name;
pub mod network;
pub mod overview;
pub mod page;
pub mod platform;
pub mod restore;
pub mod run;
pub mod store;
pub mod user;
pub mod workers;

mod exit_class;
mod image_type;
mod manifest;
mod remark;
mod step_title;
mod text_enum;
mod workflow_name;

pub use agent::{
    AgentEvent, AgentResult, AgentTask, Connection, EventBody, ExitClass, Location, Outcome, Work,
};
pub use failure::{Explanation, Failure, FailureCode};
pub use id::{ImageId, InstanceId, PlatformId, RunId, StoreId, TokenId, UserId};
pub use image::{
    Database, Extension, Image, ImageDetail, ImageKind, ImageStatus, ImageType, LeftOut, LeftOutReason,
    Manifest, Object, Source, Table,
};
pub use instance::{Health, Instance, InstanceStatus, Origin, TlsMode};
pub use log::{Level, LogFilter, LogLine, LogPage, LogStretch};
pub use name::{Name, NameError};
pub use network::NetworkPolicy;
pub use page::Page;
pub use platform::{PlatformInfo, PlatformKind};
pub use remark::Remark;
pub use run::{Progress, Receipt, Run, RunState, StepRow, StepState, WorkflowName};
pub use store::{Seal, Store, StoreAccess, StoreAuth, StoreAuthKind, Transfer, UnusedPrefix};
pub use user::{Actor, ActorKind, Role, Token};
