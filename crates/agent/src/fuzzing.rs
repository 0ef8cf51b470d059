//! What the fuzz targets call: readers of bytes that a stranger may have written.

use crate::{execute, restore, tool_errors};

/// Reads the globals of an image.
pub fn globals(text: &str) {
    let _ = restore::globals::read(text);
}

/// Reads the frames that the container with an image's content sends.
pub fn frames(bytes: &[u8]) {
    execute::read_all(bytes);
}

/// Classifies what a program of PostgreSQL printed.
pub fn tool_errors(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let _ = tool_errors::read(&lines);
    let _ = tool_errors::last_errors(text, 3);
}
