//! The reader without a tree: whether a text is JSON within its limits, and the facts that respelling needs. It allocates only
//! for the hashes of the names of open objects.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    mem::take,
    ops::Range,
};

use super::{
    ParseError,
    reader::{Builder, Scalar, TextSink, read},
};

/// Names of an object that are compared one by one; for more than these it makes a set.
const FEW_NAMES: usize = 16;

/// The limits of a text.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Arrays and objects within each other.
    pub depth: usize,
    /// Values within the value, at all depths.
    pub values: usize,
}

/// The facts about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Findings {
    /// Values within it, at all depths.
    pub values: usize,
    /// Whether a string or a name has half of a surrogate pair, and so is no Unicode text.
    pub has_lone_surrogate: bool,
    /// Whether an object has a name twice, of which only the last value counts.
    pub has_duplicates: bool,
}

/// A member of the object that a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where its value stands, in bytes.
    pub at: Range<usize>,
    /// The facts about its value.
    pub findings: Findings,
}

/// The kind of the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// An object, and the last of each of the requested members, in that order.
    Object(Vec<Option<Member>>),
    /// `null`
    Null,
    /// Any other value.
    Other,
}

/// The kind of a text that should be an array of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// An array: the kind of each of its items.
    Array(Vec<Root>),
    /// `null`
    Null,
    /// Any other value.
    Other,
}

/// Inspects a text that is one value.
pub fn inspect(text: &str, limits: Limits) -> Result<Findings, ParseError> {
    let inspector = Inspector::new(limits, &[], 0, None);
    read(text, limits.depth, inspector).map(|(_, inspector)| inspector.findings)
}

/// Inspects a text that should be an object, for some of its members. The limit on values counts for each member.
pub fn inspect_members(text: &str, limits: Limits, wanted: &[&str]) -> Result<Root, ParseError> {
    let inspector = Inspector::new(limits, wanted, 1, None);
    let (kind, inspector) = read(text, limits.depth, inspector)?;
    Ok(match kind {
        Kind::Object => Root::Object(inspector.members),
        Kind::Null => Root::Null,
        Kind::Other => Root::Other,
    })
}

/// Inspects a text that should be an array of at most `most` objects, for some of their members. The limit on values counts for
/// each member, and the array does not count for the depth of an item.
pub fn inspect_items(
    text: &str,
    limits: Limits,
    most: usize,
    wanted: &[&str],
) -> Result<Items, ParseError> {
    let inspector = Inspector::new(limits, wanted, 2, Some(most));
    let (kind, inspector) = read(text, limits.depth + 1, inspector)?;
    Ok(match kind {
        Kind::Null => Items::Null,
        Kind::Object | Kind::Other if inspector.found.is_in_array => {
            Items::Array(inspector.found.items)
        }
        Kind::Object | Kind::Other => Items::Other,
    })
}

enum Kind {
    Object,
    Null,
    Other,
}

/// The hashes of an object's names.
#[derive(Default)]
struct Names {
    few: Vec<u64>,
    many: HashSet<u64>,
}

impl Names {
    /// Whether it is new.
    fn add(&mut self, hash: u64) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&hash) {
                return false;
            }
            self.few.push(hash);
            if self.few.len() > FEW_NAMES {
                self.many = take(&mut self.few).into_iter().collect();
            }
            return true;
        }
        self.many.insert(hash)
    }
}

/// The items of the array that a text is.
struct FoundItems {
    /// How many there may be; `None` where the text need not be an array.
    most: Option<usize>,
    is_in_array: bool,
    begun: usize,
    items: Vec<Root>,
}

struct Inspector<'w> {
    limits: Limits,
    wanted: &'w [&'w str],
    /// The depth from which values belong to an entry: 1 where the text is an object of members, 2 where it is an array of
    /// objects.
    from: usize,
    found: FoundItems,
    /// Open arrays and objects.
    level: usize,
    /// The facts since the last member began.
    findings: Findings,
    members: Vec<Option<Member>>,
    random: RandomState,
    spare: Vec<u8>,
}

impl<'w> Inspector<'w> {
    fn new(limits: Limits, wanted: &'w [&'w str], from: usize, most: Option<usize>) -> Self {
        Self {
            limits,
            wanted,
            from,
            found: FoundItems {
                most,
                is_in_array: false,
                begun: 0,
                items: Vec::new(),
            },
            level: 0,
            findings: Findings::default(),
            members: vec![None; wanted.len()],
            random: RandomState::new(),
            spare: Vec::new(),
        }
    }
}

/// The relevant parts of a string: the bytes of a name.
struct Glimpse {
    name: Option<Vec<u8>>,
    has_lone_surrogate: bool,
}

impl TextSink for Glimpse {
    fn run(&mut self, bytes: &[u8]) {
        if let Some(name) = &mut self.name {
            name.extend_from_slice(bytes);
        }
    }

    fn code_point(&mut self, code_point: u32) {
        let character = char::from_u32(code_point);
        self.has_lone_surrogate |= character.is_none();
        if let Some(name) = &mut self.name {
            match character {
                Some(character) => {
                    name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                // No UTF-8 begins like this, so it is no other name.
                None => name.extend_from_slice(&[&[0xFF], &code_point.to_be_bytes()[..]].concat()),
            }
        }
    }
}

impl Builder for Inspector<'_> {
    type Value = Kind;
    type Array = ();
    type Object = Names;
    type Text = Glimpse;
    /// The place among the wanted members.
    type Name = Option<usize>;

    fn begin(&mut self) -> Result<(), ParseError> {
        if self.level > self.from {
            self.findings.values += 1;
            let most = self.limits.values;
            if self.findings.values > most {
                return Err(ParseError::TooManyValues { most });
            }
        } else if self.level == 1
            && self.found.is_in_array
            && let Some(most) = self.found.most
        {
            self.found.begun += 1;
            if self.found.begun > most {
                return Err(ParseError::TooManyItems { most });
            }
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Kind {
        match scalar {
            Scalar::Null => Kind::Null,
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) => Kind::Other,
        }
    }

    fn text(&mut self, is_name: bool) -> Glimpse {
        Glimpse {
            name: is_name.then(|| take(&mut self.spare)),
            has_lone_surrogate: false,
        }
    }

    fn string(&mut self, text: Glimpse) -> Kind {
        self.findings.has_lone_surrogate |= text.has_lone_surrogate;
        Kind::Other
    }

    fn array(&mut self) {
        self.found.is_in_array |= self.level == 0;
        self.level += 1;
    }

    fn push(&mut self, (): &mut (), kind: Kind) {
        if self.level != 1 || self.found.most.is_none() {
            return;
        }
        let members = std::mem::replace(&mut self.members, vec![None; self.wanted.len()]);
        self.found.items.push(match kind {
            Kind::Object => Root::Object(members),
            Kind::Null => Root::Null,
            Kind::Other => Root::Other,
        });
    }

    fn end_array(&mut self, (): ()) -> Kind {
        self.level -= 1;
        Kind::Other
    }

    fn object(&mut self) -> Names {
        self.level += 1;
        Names::default()
    }

    fn name(&mut self, object: &mut Names, text: Glimpse) -> Option<usize> {
        let mut bytes = text.name.unwrap_or_default();
        let place = if self.level > self.from {
            self.findings.has_lone_surrogate |= text.has_lone_surrogate;
            self.findings.has_duplicates |= !object.add(self.random.hash_one(&bytes));
            None
        } else {
            self.findings = Findings::default();
            self.wanted.iter().position(|name| name.as_bytes() == bytes)
        };
        bytes.clear();
        self.spare = bytes;
        place
    }

    fn insert(&mut self, _: &mut Names, place: Option<usize>, _: Kind, at: Range<usize>) {
        let member = Member {
            at,
            findings: self.findings,
        };
        if let Some(wanted) = place.and_then(|place| self.members.get_mut(place)) {
            *wanted = Some(member);
        }
    }

    fn end_object(&mut self, _: Names) -> Kind {
        self.level -= 1;
        Kind::Object
    }
}
