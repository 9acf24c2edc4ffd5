//! `/proc/PID/mountinfo`.

/// A mounted file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    /// Path of the mount within its file system; `net:[4026531840]` for a bound namespace.
    pub(crate) root: &'a str,
    /// Where it is mounted.
    pub(crate) point: &'a str,
    /// Type of the file system.
    pub(crate) file_system: &'a str,
}

/// Walks the lines of a mountinfo file; lines that are not of its form are passed over.
pub(crate) fn parse(text: &str) -> impl Iterator<Item = Mount<'_>> {
    text.lines().filter_map(|line| {
        // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        Some(Mount {
            root: fields.next()?,
            point: fields.next()?,
            file_system: file_system.split(' ').next()?,
        })
    })
}
