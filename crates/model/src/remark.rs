//! What an image lacks, or restores in another way than the source has it.

use std::collections::BTreeSet;

use crate::manifest::{LeftOutReason, Manifest};

/// One such fact, with the names that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// These databases of the source are not in the image.
    LeftOut(LeftOutReason, Vec<String>),
    /// The restored databases do not use these tablespaces of the source.
    Tablespaces(Vec<String>),
}

impl Manifest {
    /// What the image lacks, or restores in another way; empty for most images.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for reason in LeftOutReason::ALL {
            let of_reason = self.source.left_out.iter().filter(|one| one.reason == *reason);
            let names: Vec<String> = of_reason.map(|one| one.database.clone()).collect();
            if !names.is_empty() {
                remarks.push(Remark::LeftOut(*reason, names));
            }
        }
        let tablespaces: BTreeSet<&String> = self.databases.iter().flat_map(|d| &d.tablespaces).collect();
        if !tablespaces.is_empty() {
            remarks.push(Remark::Tablespaces(tablespaces.into_iter().cloned().collect()));
        }
        remarks
    }
}

impl Remark {
    /// The fact, as a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::LeftOut(reason, names) => {
                let reason = match reason {
                    LeftOutReason::Closed => "they accept no connections",
                    LeftOutReason::NoPrivilege => "the account of the backup may not connect to them",
                    LeftOutReason::NotAdmitted => "pg_hba.conf does not admit the account of the backup",
                };
                format!("Databases of the source that are not in the image ({reason}): {}.", names.join(", "))
            }
            Self::Tablespaces(names) => format!(
                "The source uses tablespaces: {}. A restore puts everything into the default tablespace.",
                names.join(", ")
            ),
        }
    }

    /// What to do, if anything.
    #[must_use]
    pub fn fix(&self) -> Option<&'static str> {
        match self {
            Self::LeftOut(LeftOutReason::Closed, _) => {
                Some("To back them up, run ALTER DATABASE name ALLOW_CONNECTIONS true at the source.")
            }
            Self::LeftOut(LeftOutReason::NoPrivilege, _) => {
                Some("To back them up, run GRANT CONNECT ON DATABASE name TO account at the source.")
            }
            Self::LeftOut(LeftOutReason::NotAdmitted, _) => {
                Some("To back them up, add a line for this account to pg_hba.conf of the source.")
            }
            Self::Tablespaces(_) => None,
        }
    }
}
