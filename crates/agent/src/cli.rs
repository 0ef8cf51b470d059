//! The command line: what can be asked of the agent, and how it is explained. It does nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Backs PostgreSQL servers up into images and restores them.
///
/// Toygres starts it as a job (`run`). It also works alone, without server and database, on any image in a store: `inspect`
/// shows what an image holds, `verify` reads every byte of it back, `restore` makes a data directory of it.
#[derive(Debug, Parser)]
#[command(
    name = "toygres-agent",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 10 configuration, 11 authentication, 12 unreachable, 13 not what was written, 20 try again, 143 stopped."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do one task, as Toygres starts it.
    ///
    /// The task is a JSON file, secrets are files in a directory; events go to standard output, one JSON object a line; the result
    /// goes to a file. The exit code says how it ended: 0 done, 10 configuration, 11 authentication, 12 unreachable, 13
    /// verification failed, 20 transient (try again), 143 cancelled.
    Run(RunArgs),
    /// Show what an image holds.
    Inspect(ImageArgs),
    /// Read every byte of an image back and compare it with its manifest.
    Verify(ImageArgs),
    /// Make a PostgreSQL data directory of an image.
    ///
    /// The directory must be missing or empty. It is handed over, stopped, only when every table holds the rows that the image
    /// says. Start it with `postgres -D DIR`.
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The job's directory: locked while the job works, so that it is done once; also the place of task.json, secrets/ and
    /// result.json unless the environment names others.
    #[arg(long, value_name = "DIR")]
    pub(crate) job_dir: Option<PathBuf>,
    /// The file that holds the task.
    #[arg(long, value_name = "FILE", env = model::agent::ENV_TASK)]
    pub(crate) task: Option<PathBuf>,
    /// The directory that holds the secrets, one file each.
    #[arg(long, value_name = "DIR", env = model::agent::ENV_SECRETS)]
    pub(crate) secrets: Option<PathBuf>,
    /// The file that the result goes to.
    #[arg(long, value_name = "FILE", env = model::agent::ENV_RESULT)]
    pub(crate) result: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Where the image is: the prefix that holds its manifest.json, as path or URL (file:///…, az://ACCOUNT/CONTAINER/…,
    /// s3://BUCKET/…). Remote stores are opened with what the environment has: AZURE_STORAGE_ACCOUNT_KEY,
    /// AZURE_STORAGE_SAS_TOKEN or a workload identity (AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE);
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE; AWS_REGION.
    pub(crate) url: String,
    /// Print JSON: the manifest, or events one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// The data directory to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Where postgres, initdb and pg_restore are; found where PostgreSQL is usually installed if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// The superuser that you will log in as; made if the image has none of that name. The source's if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) superuser: Option<String>,
    /// A file that holds that superuser's password. Otherwise TOYGRES_PASSWORD is taken, or you are asked.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How many connections load rows at once.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) streams: usize,
}
