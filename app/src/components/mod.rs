//! The parts that pages are made of; each knows its markup and none asks the server for anything but the frame.

pub mod ask;
pub mod back_up;
pub mod blocks;
pub mod code;
pub mod days;
pub mod door;
pub mod empty;
pub mod field;
pub mod focus;
pub mod frame;
pub mod head;
pub mod icon;
pub mod instance_table;
pub mod menu;
pub mod need;
pub mod pager;
pub mod refusal;
pub mod run_rows;
pub mod shown;
pub mod state;
pub mod time;
pub mod toast;
