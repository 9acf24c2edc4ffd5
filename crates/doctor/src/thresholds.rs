//! Where healthy ends, all in one place, each with its reason.

/// The numbers by which rules tell a fault from what merely looks like one.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// CLOSE_WAIT that stay over both looks before a process is said to leak: a server may be
    /// busy with the answer to a client that has half-closed, but hardly with five at once for
    /// as long as the looks are apart.
    pub close_wait_standing: u64,
    /// One CLOSE_WAIT is enough when it has lasted this long: no request takes two minutes to
    /// answer without a single segment going out.
    pub close_wait_old_ms: u64,
    /// CLOSE_WAIT of one process at which a leak is critical whatever its pace: it is the usual
    /// limit of open descriptors.
    pub close_wait_critical: u64,
    /// Share of the local ports toward one destination, in per cent, at which a warning is due:
    /// the kernel's search for a free port gets slow from here on.
    pub ports_warning: f64,
    /// Share at which connects fail in the next burst.
    pub ports_critical: f64,
    /// Minutes to exhaustion below which the forecast is a warning at half the range already.
    pub ports_minutes: f64,
    /// TIME_WAIT on a service port that are worth a word: fewer nobody asks about.
    pub time_wait_many: u64,
    /// SYN_RECV at one listener that no healthy load shows: a handshake takes one round trip, so
    /// this many at once is thousands of clients a second.
    pub syn_recv_many: u64,
    /// Of those, the share in per cent whose SYN+ACK has been repeated: honest clients answer
    /// the first one.
    pub syn_recv_unanswered: f64,
    /// Sources from which on it is a crowd.
    pub syn_sources_many: u64,
    /// SYN cookies a second: one now and then is a burst.
    pub cookies_per_second: f64,
    /// Share of RLIMIT_NOFILE in per cent that a process with room to breathe stays below.
    pub descriptors_warning: f64,
    /// Destinations in SYN_SENT at once of one process: clients talk to few that do not answer.
    pub scan_destinations: u64,
    /// Repeats of the same text after which a peer is doubted: the fourth comes after at least
    /// three seconds of silence, far longer than any round trip.
    pub unanswered_repeats: u8,
    /// Connections for each one whose peer has vanished, from which on that is everyday: on the
    /// Internet clients lose their network all the time.
    pub clients_a_vanished_one: u64,
    /// Silence that makes a connection idle, worth a word when nothing watches it.
    pub idle_ms: u64,
    /// Idle connections without keepalive at one listener that are worth a word after seconds, and
    /// more than a word once even default keepalive would have ended them: a few may wait for a
    /// rare event.
    pub idle_many: u64,
    /// Silence after which even default keepalive would have ended a dead connection:
    /// 7200 s + 9 × 75 s.
    pub idle_beyond_keepalive_ms: u64,
    /// Bytes unread that count as standing: less is a message that waits for its turn.
    pub unread_bytes: u32,
    /// Bytes unread that count in a single look, where nothing says whether they stand.
    pub unread_bytes_one_look: u32,
    /// Segments toward a prefix below which a share of losses says nothing; a critical share of a
    /// quarter of them is worth a word.
    pub path_segments: u64,
    /// Repeated segments in per cent from which a path is lossy: TCP is slowed noticeably at one
    /// per cent, and healthy paths stay far below it.
    pub path_loss: f64,
    /// The same, critical: timeouts dominate.
    pub path_loss_critical: f64,
    /// FIN_WAIT2 that a process holds over both looks: a few wait for an answer, as on the other
    /// side a few CLOSE_WAIT work on one.
    pub fin_wait2_standing: u64,
    /// FIN_WAIT2 mini-sockets worth a word; each lives for tcp_fin_timeout.
    pub fin_wait2_orphans: u64,
    /// Share of tcp_max_orphans in per cent: the kernel resets troubled orphans from half or a
    /// quarter of the limit on.
    pub orphans_warning: f64,
    /// Share of the tracking table in per cent.
    pub conntrack_warning: f64,
    /// Share at which the next burst is dropped.
    pub conntrack_critical: f64,
    /// Share of the pressure mark of tcp_mem in per cent.
    pub memory_warning: f64,
    /// Resets a minute, and at least three, that are a habit and no accident.
    pub resets_per_minute: f64,
    /// Connections closed with data unread, in per cent of those opened meanwhile: browsers and
    /// proxies that give up on an answer stay below it.
    pub unread_share: f64,
    /// Connections reset after their close, in per cent of those opened meanwhile. The kernel
    /// counts closes with SO_LINGER 0 among them, by which proxies drop idle servers.
    pub late_share: f64,
    /// Refused attempts from elsewhere a minute: the scanners of the Internet stay below it.
    pub refused_per_minute: f64,
    /// Resets a minute that are more than a word, whatever their share: a load balancer ends its
    /// health checks by a reset, one every two seconds.
    pub resets_many_per_minute: f64,
    /// Connections of one client to one port, all but one silent.
    pub reconnects: u64,
    /// Buckets below which tcp_max_tw_buckets is tiny: the kernel itself never picks fewer than
    /// this on machines with memory for a network.
    pub tiny_tw_buckets: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            close_wait_standing: 5,
            close_wait_old_ms: 120_000,
            close_wait_critical: 1024,
            ports_warning: 80.0,
            ports_critical: 95.0,
            ports_minutes: 15.0,
            time_wait_many: 50,
            syn_recv_many: 64,
            syn_recv_unanswered: 50.0,
            syn_sources_many: 16,
            cookies_per_second: 2.0,
            descriptors_warning: 90.0,
            scan_destinations: 40,
            unanswered_repeats: 3,
            clients_a_vanished_one: 20,
            idle_ms: 60_000,
            idle_many: 10,
            idle_beyond_keepalive_ms: 7_875_000,
            unread_bytes: 4096,
            unread_bytes_one_look: 65_536,
            path_segments: 200,
            path_loss: 2.0,
            path_loss_critical: 10.0,
            fin_wait2_standing: 5,
            fin_wait2_orphans: 1000,
            orphans_warning: 50.0,
            conntrack_warning: 90.0,
            conntrack_critical: 98.0,
            memory_warning: 90.0,
            resets_per_minute: 12.0,
            resets_many_per_minute: 60.0,
            unread_share: 5.0,
            late_share: 25.0,
            refused_per_minute: 120.0,
            reconnects: 3,
            tiny_tw_buckets: 1024,
        }
    }
}
