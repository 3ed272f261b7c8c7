//! The protocol between servers: recorded conversations of Apache ZooKeeper's, and hostile bytes.

mod conversation;
mod golden;
mod hostile;
mod replay;
mod state;
