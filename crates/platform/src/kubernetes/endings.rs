//! How jobs die: the words and the consequence of each way.
