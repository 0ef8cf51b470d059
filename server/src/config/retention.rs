//! The arguments of the periodic tasks: what is kept for how long, and when images are verified.

use clap::{Args, value_parser};
use control::Maintenance;

/// The longest retention: a century.
const MAX_DAYS: i64 = 36_500;

/// What is kept for how long.
#[derive(Args, Clone, Copy)]
pub(crate) struct Retention {
    /// How many days log lines are kept.
    #[arg(long, env = "TOYGRES_LOG_RETENTION_DAYS", default_value = "90", value_name = "DAYS",
        value_parser = value_parser!(i32).range(1..=MAX_DAYS))]
    log_retention_days: i32,
    /// The size of all log lines, in MiB, above which the oldest are deleted.
    #[arg(long, env = "TOYGRES_MAX_LOG_SIZE", default_value = "5120", value_name = "MIB",
        value_parser = value_parser!(i64).range(16..=1 << 30))]
    max_log_size: i64,
    /// How many days ended runs are kept. Runs that created an existing instance or image are kept longer.
    #[arg(long, env = "TOYGRES_RUN_RETENTION_DAYS", default_value = "400", value_name = "DAYS",
        value_parser = value_parser!(i32).range(1..=MAX_DAYS))]
    run_retention_days: i32,
    /// How many days audit entries are kept, at least 400.
    #[arg(long, env = "TOYGRES_AUDIT_RETENTION_DAYS", default_value = "400", value_name = "DAYS",
        value_parser = value_parser!(i32).range(400..=MAX_DAYS))]
    audit_retention_days: i32,
    /// How many days after its last verification an image is verified again; 0 turns the scheduled verification off.
    #[arg(long, env = "TOYGRES_VERIFICATION_DAYS", default_value = "7", value_name = "DAYS",
        value_parser = value_parser!(i32).range(0..=MAX_DAYS))]
    verification_days: i32,
}

impl Retention {
    /// The settings of the periodic tasks.
    pub(crate) fn maintenance(self) -> Maintenance {
        Maintenance {
            log_retention_days: self.log_retention_days,
            max_log_bytes: self.max_log_size << 20,
            run_retention_days: self.run_retention_days,
            audit_retention_days: self.audit_retention_days,
            verification_days: self.verification_days,
        }
    }
}
