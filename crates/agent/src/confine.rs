//! Runs a program that reaches only the files that it needs. A restore executes what an image contains (functions in
//! constraints and index expressions), and the superuser of an instance can execute any program. Neither must reach a store, a
//! secret or another instance.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use model::{ExitClass, FailureCode};

use crate::cli::ConfineArgs;
use crate::isolate::isolate;
use crate::stderr::log_stderr;

/// The newest interface whose restrictions are requested. An older kernel enforces those that it knows.
const NEWEST: ABI = ABI::V10;
/// What every program may read and execute: programs, libraries, and the configuration that libraries read.
const SYSTEM: [&str; 29] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/etc/alternatives",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/krb5.conf",
    "/etc/ld.so.cache",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/sys/devices/system/cpu",
    // Dictionaries of Debian's packages.
    "/var/cache/postgresql",
    // The size of huge pages.
    "/proc/meminfo",
];
/// The devices that every program may read.
const SOURCES: [&str; 3] = ["/dev/zero", "/dev/random", "/dev/urandom"];
/// The devices that every program may write.
const SINKS: [&str; 1] = ["/dev/null"];

/// Replaces this process by the program. Returns only if that fails.
pub(crate) fn confine(args: &ConfineArgs) -> ExitClass {
    let isolated = isolate(&shown(args), !args.no_network);
    let restricted = match restrict(args) {
        Ok(status) => status,
        Err(error) => {
            log_stderr(&format!("cannot restrict the access to files: {error}"));
            return FailureCode::Internal.into();
        }
    };
    if args.required {
        if restricted == RulesetStatus::NotEnforced {
            log_stderr("the kernel does not support Landlock: programs can read what their account can read");
            return FailureCode::PlatformUnsupported.into();
        }
        if let Err(error) = isolated {
            log_stderr(&format!(
                "the system does not allow namespaces of users ({error}): programs can use the sockets of other servers"
            ));
            return FailureCode::PlatformUnsupported.into();
        }
    }
    let (program, arguments) = (&args.program, &args.arguments);
    let error = Command::new(program).args(arguments).exec();
    log_stderr(&format!("cannot start {}: {error}", program.display()));
    FailureCode::ProgramsMissing.into()
}

/// Everything that the program may reach.
fn shown(args: &ConfineArgs) -> Vec<PathBuf> {
    let system = SYSTEM.iter().chain(&SOURCES).chain(&SINKS).map(PathBuf::from);
    system.chain(args.read.iter().cloned()).chain(args.write.iter().cloned()).collect()
}

/// Restricts this process, and every process that it starts, for good.
fn restrict(args: &ConfineArgs) -> Result<RulesetStatus, RulesetError> {
    let (all, read) = (AccessFs::from_all(NEWEST), AccessFs::from_read(NEWEST));
    // What the program writes cannot be executed.
    let write = all & !BitFlags::from(AccessFs::Execute);
    // Signals reach processes of the same restriction only, so not the agent or another instance of the same account.
    let mut rules = Ruleset::default().handle_access(all)?.scope(Scope::from_all(NEWEST))?;
    if args.no_network {
        rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let restricted = rules
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(SOURCES, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(SINKS, write))?
        .add_rules(path_beneath_rules(&args.read, read))?
        .add_rules(path_beneath_rules(&args.write, write))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}
