//! The parts that pages are made of; each knows its markup and none asks the server for anything but the frame.

pub mod ask;
pub mod blocks;
pub mod code;
pub mod empty;
pub mod field;
pub mod frame;
pub mod head;
pub mod icon;
pub mod pager;
pub mod refusal;
pub mod shown;
pub mod state;
pub mod time;
pub mod toast;
