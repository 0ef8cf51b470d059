//! The parts of pages. A part receives its data; only the layout and the parts that load after user input (log window,
//! back-up action) call the server.

pub mod attention;
pub mod auth_layout;
pub mod back_up;
pub mod code;
pub mod confirm;
pub mod empty_state;
pub mod error_page;
pub mod field;
pub mod focus;
pub mod form_error;
pub mod history_chart;
pub mod icon;
pub mod instance_table;
pub mod layout;
pub mod log_bar;
pub mod log_view;
pub mod log_window;
pub mod menu;
pub mod page_header;
pub mod pager;
pub mod panel;
pub mod platform_context;
pub mod receipt;
pub mod result_view;
pub mod run_live;
pub mod run_progress;
pub mod run_rows;
pub mod status_badge;
pub mod step_strip;
pub mod step_table;
pub mod target_fields;
pub mod time;
pub mod toast;

#[cfg(all(test, feature = "ssr"))]
mod tests;
