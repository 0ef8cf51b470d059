//! The type of an instance and the kind of an image.

use crate::text_enum::text_enum;

text_enum! {
    /// The form of the data in an image.
    ImageKind {
        /// Schema and rows. Restorable into the same or a newer major version.
        Logical = "logical",
        /// The files of the data directory. Restorable into the same major version only.
        Physical = "physical",
    }
}

text_enum! {
    /// The type of an instance's server. A restored instance has the type of its source.
    ImageType {
        /// PostgreSQL without additions.
        Stock = "stock",
        /// PostgreSQL with pg_durable, whose background worker connects over TCP on the loopback interface.
        PgDurable = "pg_durable",
    }
}
