//! HyStart++ (RFC 9406): leaving slow start before it overruns the path.
