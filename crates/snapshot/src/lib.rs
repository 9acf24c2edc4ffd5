//! What was seen of a host's TCP sockets at one moment, as plain data.
