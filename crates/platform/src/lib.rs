//! The platforms on which instances and jobs run: this machine ([`local`]) or a namespace of a Kubernetes cluster
//! ([`kubernetes`]). It knows no state database, no workflow and no image format.
//!
//! A [`Platform`] has three roles, each a trait: [`Facts`] describe it, [`Instances`] creates and runs PostgreSQL servers on
//! volumes, and [`Jobs`] runs agent processes. One conformance suite (`tests/conformance`) tests every implementation.
//!
//! Every call is idempotent: repeated after a crash, it finds what the first call created and completes it, and deleting
//! what does not exist succeeds. Failures are values ([`model::Failure`]), created where the cause is known: as the
//! [`Error`] of a call, in a [`ServerState`], or in a [`JobState`].
//!
//! ```no_run
//! use platform::local::{LocalConfig, LocalPlatform};
//! use platform::{Facts, InstanceSpec, Instances, Secret};
//!
//! # async fn example(spec: InstanceSpec) -> platform::Result<()> {
//! let platform = LocalPlatform::open(LocalConfig {
//!     data_dir: "/var/lib/toygres".into(),
//!     agent_program: "/usr/local/bin/toygres-agent".into(),
//!     user: None,
//!     bin_dirs: vec![],
//! })
//! .await?;
//! assert!(platform.installations().await?.iter().any(|installed| installed.major == spec.major));
//! platform.create_volume(&spec).await?;
//! platform.deploy_server(&spec, &Secret::from("a password")).await?;
//! println!("{:?} at {:?}", platform.observe_server(spec.id).await?, platform.endpoint(spec.id).await?);
//! # Ok(())
//! # }
//! ```

pub mod kubernetes;
pub mod local;
pub mod postgres_server;

mod error;
mod files;
mod instance;
mod job;
mod postgres_log;
mod roles;
mod secret;

pub use error::{Error, Result};
pub use instance::{Endpoint, Installation, InstanceSpec, ServerState};
pub use job::{JobEnd, JobSpec, JobState, StoreIdentity, job_name};
pub use roles::{Facts, Instances, Jobs, Platform};
pub use secret::{ExposeSecret, Secret};
