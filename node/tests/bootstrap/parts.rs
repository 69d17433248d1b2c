//! Takes a state apart for its fingerprint.
//!
//! serde hands over every value that a state holds, with the names of its type and its field, however the type prints. [`meaning`]
//! says which of them do not count as they are.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use opensecureconf_node::cluster::{ProcessEpoch, WireSalt};
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::meaning::{self, Meaning};

/// A part of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// What counts as it is: values, and the names of types and fields around them.
    Plain(u64),
    /// A random number that serves as a name.
    Name(u64),
    Clock(i64),
    /// The number of a greeting, and the process that counts it.
    Turn(u64, u64),
    /// Milliseconds since the beginning.
    Moment(i64),
}

/// The node that holds a state, or that a message is on its way to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper {
    pub(crate) node: usize,
    /// Its process, where the state has numbers of its own greetings.
    pub(crate) process_epoch: ProcessEpoch,
}

/// Takes a state apart.
pub(crate) fn read(state: &impl Serialize, keeper: Keeper) -> Vec<Part> {
    let mut reader = Reader {
        parts: Vec::new(),
        plain: None,
        keeper,
        meaning: Meaning::Itself,
        process_epoch: 0,
        nanos: 0,
    };
    state.serialize(&mut reader).unwrap();
    reader.end_plain();
    reader.parts
}

struct Reader {
    parts: Vec<Part>,
    /// What counts as it is since the last other part.
    plain: Option<DefaultHasher>,
    keeper: Keeper,
    /// The meaning of the next value.
    meaning: Meaning,
    /// The last process epoch so far.
    process_epoch: u64,
    /// The parts of a duration so far.
    nanos: i128,
}

impl Reader {
    fn end_plain(&mut self) {
        let plain = self.plain.take();
        self.parts
            .extend(plain.map(|plain| Part::Plain(plain.finish())));
    }

    fn plain(&mut self, value: impl Hash) {
        value.hash(self.plain.get_or_insert_default());
    }

    fn part(&mut self, part: Part) {
        self.end_plain();
        self.parts.push(part);
    }

    fn with<T: Serialize + ?Sized>(&mut self, meaning: Meaning, value: &T) -> fmt::Result {
        let outer = std::mem::replace(&mut self.meaning, meaning);
        value.serialize(&mut *self)?;
        self.meaning = outer;
        Ok(())
    }

    fn number(&mut self, number: i128) -> fmt::Result {
        let unsigned = || u64::try_from(number).map_err(|_| fmt::Error);
        match self.meaning {
            Meaning::Nothing => {}
            Meaning::Name => self.part(Part::Name(unsigned()?)),
            Meaning::ProcessEpoch => {
                self.process_epoch = unsigned()?;
                self.part(Part::Name(self.process_epoch));
            }
            Meaning::Exchange => {
                let mut name = DefaultHasher::new();
                ("exchange", self.keeper.node, number).hash(&mut name);
                self.part(Part::Name(name.finish()));
            }
            Meaning::Clock => {
                let clock = i64::try_from(number).map_err(|_| fmt::Error)?;
                self.part(Part::Clock(clock));
            }
            Meaning::Turn => self.part(Part::Turn(self.process_epoch, unsigned()?)),
            Meaning::OwnTurn => {
                let own = self.keeper.process_epoch.raw().unsigned_abs();
                self.part(Part::Turn(own, unsigned()?));
            }
            Meaning::Nanos(unit) => self.nanos += number * unit,
            Meaning::Itself | Meaning::Length | Meaning::Salt | Meaning::SaltFingerprint => {
                self.plain(number);
            }
        }
        Ok(())
    }

    /// The name that a salt, or its fingerprint, is.
    fn salt(&self, text: &str) -> Option<u64> {
        let fingerprint = match self.meaning {
            Meaning::Salt => {
                let salt: WireSalt = serde_json::from_value(text.into()).ok()?;
                salt.to_salt()?.fingerprint().to_string()
            }
            Meaning::SaltFingerprint => text.to_owned(),
            _ => return None,
        };
        u64::from_str_radix(&fingerprint, 16).ok()
    }

    fn duration(&mut self) {
        let nanos = std::mem::take(&mut self.nanos);
        match self.meaning {
            Meaning::Nothing => {}
            // Where nothing has happened yet, there is no moment.
            Meaning::Itself if nanos != 0 => {
                let millis = nanos.unsigned_abs().div_ceil(1_000_000);
                self.part(Part::Moment(i64::try_from(millis).unwrap()));
            }
            _ => self.plain(nanos),
        }
    }

    fn fields(&mut self, kind: &'static str, of: &'static str) -> Fields<'_> {
        self.plain((kind, of));
        Fields { reader: self, of }
    }
}

/// The elements or fields of a value.
struct Fields<'r> {
    reader: &'r mut Reader,
    of: &'static str,
}

impl Fields<'_> {
    /// An element has the meaning of the whole.
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.reader.plain("element");
        self.reader.with(self.reader.meaning, value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> fmt::Result {
        self.reader.plain(key);
        self.reader.with(meaning::of_field(self.of, key), value)
    }

    fn close(self) {
        if self.of == "Duration" {
            self.reader.duration();
        }
        self.reader.plain("end");
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(self, number: $type) -> fmt::Result {
            self.number(number.into())
        })+
    };
}

impl<'r> Serializer for &'r mut Reader {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Fields<'r>;
    type SerializeTuple = Fields<'r>;
    type SerializeTupleStruct = Fields<'r>;
    type SerializeTupleVariant = Fields<'r>;
    type SerializeMap = Fields<'r>;
    type SerializeStruct = Fields<'r>;
    type SerializeStructVariant = Fields<'r>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    fn serialize_bool(self, value: bool) -> fmt::Result {
        self.plain(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> fmt::Result {
        self.plain(value.to_bits());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> fmt::Result {
        self.plain(value.to_bits());
        Ok(())
    }

    fn serialize_char(self, value: char) -> fmt::Result {
        self.plain(value);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> fmt::Result {
        match self.salt(text) {
            Some(name) => self.part(Part::Name(name)),
            None => self.plain(text),
        }
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> fmt::Result {
        self.plain(bytes);
        Ok(())
    }

    fn serialize_none(self) -> fmt::Result {
        self.plain("none");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        self.plain("some");
        value.serialize(self)
    }

    fn serialize_unit(self) -> fmt::Result {
        self.plain("unit");
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> fmt::Result {
        self.plain(name);
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> fmt::Result {
        self.plain((name, variant));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.plain(name);
        self.with(meaning::of_type(name), value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.plain((name, variant));
        self.with(Meaning::Itself, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Fields<'r>, fmt::Error> {
        Ok(self.fields("list", ""))
    }

    fn serialize_tuple(self, _: usize) -> Result<Fields<'r>, fmt::Error> {
        Ok(self.fields("tuple", ""))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Fields<'r>, fmt::Error> {
        Ok(self.fields("tuple", name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'r>, fmt::Error> {
        self.meaning = Meaning::Itself;
        Ok(self.fields(name, variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'r>, fmt::Error> {
        Ok(self.fields("map", ""))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'r>, fmt::Error> {
        Ok(self.fields("struct", name))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'r>, fmt::Error> {
        Ok(self.fields(name, variant))
    }
}

macro_rules! elements {
    ($($kind:ident: $method:ident),+) => {
        $(impl $kind for Fields<'_> {
            type Ok = ();
            type Error = fmt::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
                self.element(value)
            }

            fn end(self) -> fmt::Result {
                self.close();
                Ok(())
            }
        })+
    };
}

macro_rules! fields {
    ($($kind:ident),+) => {
        $(impl $kind for Fields<'_> {
            type Ok = ();
            type Error = fmt::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> fmt::Result {
                self.field(key, value)
            }

            fn end(self) -> fmt::Result {
                self.close();
                Ok(())
            }
        })+
    };
}

elements! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> fmt::Result {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.element(value)
    }

    fn end(self) -> fmt::Result {
        self.close();
        Ok(())
    }
}
