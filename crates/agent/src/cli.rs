//! The command line: its commands, arguments and help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Backs up PostgreSQL servers into images and restores them.
///
/// Toygres starts it as a job (`run`). It also works without a Toygres server on any image in a store: `inspect` prints what an
/// image contains, `verify` reads all of its bytes and compares them with its manifest, `restore` creates a data directory from it.
#[derive(Debug, Parser)]
#[command(
    name = "toygres-agent",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 success, 10 configuration error, 11 authentication error, 12 unreachable, 13 verification failed, 20 transient error, 143 cancelled."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Execute one task, as Toygres starts it.
    ///
    /// The task is a JSON file, secrets are files in a directory; events go to standard output, one JSON object a line; the result
    /// goes to a file. Exit codes: 0 success, 10 configuration error, 11 authentication error, 12 unreachable, 13 verification
    /// failed, 20 transient error (retry), 143 cancelled.
    Run(RunArgs),
    /// Print what an image contains.
    Inspect(ImageArgs),
    /// Read every byte of an image and compare it with its manifest.
    Verify(ImageArgs),
    /// Create a PostgreSQL data directory from an image.
    ///
    /// The directory must be missing or empty. It is completed only if every table has as many rows as the image. The server is
    /// stopped then: start it with `postgres -D DIR`.
    Restore(RestoreArgs),
    /// Run a program that reaches only the given files, where the system supports that.
    #[command(hide = true)]
    Confine(ConfineArgs),
    /// Run initdb, postgres and pg_restore for an agent in another container of the pod.
    #[command(hide = true)]
    Execute(ExecuteArgs),
    /// Run a program through the socket of `execute`.
    #[command(hide = true)]
    Relay(RelayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExecuteArgs {
    /// The socket to listen on. Only the account of this process may connect.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// A file or directory that the programs may read and execute, beside their own.
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Vec<PathBuf>,
    /// A file or directory that the programs may read and write.
    #[arg(long, value_name = "PATH")]
    pub(crate) write: Vec<PathBuf>,
    /// The directory of postgres, initdb and pg_restore [default: the usual directories of PostgreSQL are searched].
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    /// The socket of `toygres-agent execute`.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// The major version of PostgreSQL to which the program belongs.
    #[arg(long, value_name = "N")]
    pub(crate) major: i32,
    /// The name of the program.
    pub(crate) program: String,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfineArgs {
    /// A file or directory that the program may read and execute, beside the programs and libraries of the system.
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Vec<PathBuf>,
    /// A file or directory that the program may read and write.
    #[arg(long, value_name = "PATH")]
    pub(crate) write: Vec<PathBuf>,
    /// Deny network connections.
    #[arg(long)]
    pub(crate) no_network: bool,
    /// Fail if the system does not support all restrictions, instead of running the program with fewer.
    #[arg(long)]
    pub(crate) required: bool,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The job's directory. It is locked while the job works, so that the job is executed once. It also holds task.json, secrets/
    /// and result.json unless other paths are given.
    #[arg(long, value_name = "DIR")]
    pub(crate) job_dir: Option<PathBuf>,
    /// The file that holds the task.
    #[arg(long, value_name = "FILE", env = model::agent::ENV_TASK)]
    pub(crate) task: Option<PathBuf>,
    /// The directory that holds the secrets, one file each.
    #[arg(long, value_name = "DIR", env = model::agent::ENV_SECRETS)]
    pub(crate) secrets: Option<PathBuf>,
    /// The file that the result is written to.
    #[arg(long, value_name = "FILE", env = model::agent::ENV_RESULT)]
    pub(crate) result: Option<PathBuf>,
    /// The directory with the socket `control` of `toygres-agent execute`, which then runs what executes an image's content. Both
    /// processes write in it.
    #[arg(long, value_name = "DIR", env = model::agent::ENV_SERVER, requires = "archives")]
    pub(crate) server: Option<PathBuf>,
    /// The directory for archives that `toygres-agent execute` reads and does not write.
    #[arg(long, value_name = "DIR", env = model::agent::ENV_ARCHIVES, requires = "server")]
    pub(crate) archives: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// The prefix that holds the image's manifest.json, as path or URL (file:///…, az://ACCOUNT/CONTAINER/…, s3://BUCKET/…).
    /// Credentials of remote stores are read from the environment: AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or a
    /// workload identity (AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE); AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE; AWS_REGION.
    pub(crate) url: String,
    /// Print JSON: the manifest, or one event a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// The data directory to create.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The directory of postgres, initdb and pg_restore [default: the usual directories of PostgreSQL are searched].
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// The superuser of the restored server, created if the image has no role of this name [default: the source's].
    #[arg(long, value_name = "NAME")]
    pub(crate) superuser: Option<String>,
    /// A file that holds the superuser's password [default: TOYGRES_PASSWORD, or a prompt].
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How many connections load rows in parallel.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) streams: usize,
}
