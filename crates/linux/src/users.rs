//! Names of users, from `/etc/passwd`.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Names of users, read when the first is asked for. A user that only a directory service
/// knows has no name here: its number is shown.
#[derive(Debug, Default)]
pub struct Users(Option<FxHashMap<u32, Arc<str>>>);

impl Users {
    /// Name of a user.
    pub fn name(&mut self, uid: u32) -> Option<Arc<str>> {
        self.table().get(&uid).cloned()
    }

    /// Number of the user of that name.
    pub fn uid(&mut self, name: &str) -> Option<u32> {
        self.table().iter().find(|(_, known)| &***known == name).map(|(uid, _)| *uid)
    }

    fn table(&mut self) -> &FxHashMap<u32, Arc<str>> {
        self.0.get_or_insert_with(|| parse(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()))
    }
}

fn parse(text: &str) -> FxHashMap<u32, Arc<str>> {
    let mut names = FxHashMap::default();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
            // The first entry of a number is its name, as getpwuid has it.
            names.entry(uid).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let names = parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nx:y:z\n");
        assert_eq!(names.len(), 1);
        assert_eq!(&*names[&0], "root");
    }
}
