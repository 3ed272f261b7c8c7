//! Threads, sockets and files around the pure core.
