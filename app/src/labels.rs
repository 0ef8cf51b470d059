//! Labels of values that several pages show.

use model::{Image, ImageType};

use crate::format;

/// The label of an image type, in a sentence.
pub(crate) fn image_type(image_type: ImageType) -> &'static str {
    match image_type {
        ImageType::Stock => "standard",
        ImageType::PgDurable => "pg_durable",
    }
}

/// The values and labels of a select field for image types.
pub(crate) fn image_type_options() -> Vec<(String, String)> {
    let label = |image_type| match image_type {
        ImageType::Stock => "Standard PostgreSQL",
        ImageType::PgDurable => "PostgreSQL with pg_durable (durable functions inside the database)",
    };
    ImageType::ALL.iter().map(|one| (one.to_string(), label(*one).to_owned())).collect()
}

/// `1 of 6 databases` if the image holds fewer databases than its source had.
pub(crate) fn partial(image: &Image) -> Option<String> {
    image.partial().map(|(held, existing)| format!("{held} of {existing} databases"))
}

/// `3 failed or cancelled backups`.
pub(crate) fn failed_backups(count: i64) -> String {
    format::quantity(count, "failed or cancelled backup", "failed or cancelled backups")
}
