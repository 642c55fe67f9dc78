//! The shape of the configuration, asked from the parser itself: a deserializer that has no text, gives every type what it
//! asks for, and notes what that was. So a key that the parser takes cannot be missing, nor one that it refuses be there.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, json};

/// The key with which the YAML parser begins a value with its position. It is the parser's own affair; should another
/// version have another one, the tests say so.
const POSITIONED: &str = "__serde_saphyr_private_spanned";

/// What the parser takes at a place.
#[derive(Debug)]
pub(super) enum Shape {
    Text,
    Flag,
    List(Box<Self>),
    Mapping(Vec<Field>),
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) is_optional: bool,
    pub(super) shape: Shape,
}

impl Shape {
    /// The shape of what is read into `T`.
    ///
    /// # Errors
    /// When `T` asks for something that no configuration has had so far.
    pub(super) fn of<T: DeserializeOwned>() -> Result<Self, Error> {
        let mut notes = Notes::default();
        T::deserialize(Probe(&mut notes))?;
        notes.shape()
    }
}

/// What one value was asked for.
#[derive(Default)]
struct Notes {
    is_optional: bool,
    shape: Option<Shape>,
}

impl Notes {
    fn shape(self) -> Result<Shape, Error> {
        self.shape.ok_or_else(|| Error::custom("nothing was asked"))
    }
}

struct Probe<'a>(&'a mut Notes);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    /// A value with its position in the text asks for anything: for a mapping of value and positions.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Positioned {
            notes: self.0,
            keys: [POSITIONED, "value", "referenced", "defined"].into_iter(),
            key: "",
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.is_optional = true;
        visitor.visit_some(self)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.shape = Some(Shape::Text);
        visitor.visit_str("")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.shape = Some(Shape::Flag);
        visitor.visit_bool(false)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut item = Notes::default();
        let list = visitor.visit_seq(OneItem(Some(&mut item)))?;
        self.0.shape = Some(Shape::List(Box::new(item.shape()?)));
        Ok(list)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut fields = Vec::new();
        let mapping = visitor.visit_map(EachKey {
            keys: keys.iter(),
            key: "",
            fields: &mut fields,
        })?;
        self.0.shape = Some(Shape::Mapping(fields));
        Ok(mapping)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct tuple tuple_struct map
        enum identifier ignored_any
    }
}

/// A list with one item.
struct OneItem<'a>(Option<&'a mut Notes>);

impl<'de> SeqAccess<'de> for OneItem<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let notes = self.0.take();
        notes
            .map(|notes| seed.deserialize(Probe(notes)))
            .transpose()
    }
}

/// A mapping with every key that it may have.
struct EachKey<'a> {
    keys: std::slice::Iter<'static, &'static str>,
    key: &'static str,
    fields: &'a mut Vec<Field>,
}

impl<'de> MapAccess<'de> for EachKey<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.keys.next() else {
            return Ok(None);
        };
        self.key = key;
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut notes = Notes::default();
        let value = seed.deserialize(Probe(&mut notes))?;
        self.fields.push(Field {
            name: self.key,
            is_optional: notes.is_optional,
            shape: notes.shape()?,
        });
        Ok(value)
    }
}

/// A value with its positions, as the YAML parser hands it over.
struct Positioned<'a> {
    notes: &'a mut Notes,
    keys: std::array::IntoIter<&'static str, 4>,
    key: &'static str,
}

impl<'de> MapAccess<'de> for Positioned<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.keys.next() else {
            return Ok(None);
        };
        self.key = key;
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.key {
            "value" => seed.deserialize(Probe(self.notes)),
            "referenced" | "defined" => seed.deserialize(json!({ "line": 1, "column": 1 })),
            _ => seed.deserialize(json!(null)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde::Deserialize;
    use serde_yaml::Spanned;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is asked for")]
    struct Sample {
        name: Spanned<String>,
        is_on: Option<bool>,
        list: Option<Spanned<Vec<Spanned<Inner>>>>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is asked for")]
    struct Inner {
        word: String,
    }

    #[test]
    fn keys_kinds_and_what_may_be_left_out_are_noted() {
        let shape = format!("{:?}", Shape::of::<Sample>().unwrap());
        assert_eq!(
            shape,
            "Mapping([Field { name: \"name\", is_optional: false, shape: Text }, \
             Field { name: \"is_on\", is_optional: true, shape: Flag }, \
             Field { name: \"list\", is_optional: true, shape: List(Mapping([Field { name: \"word\", is_optional: false, shape: Text }])) }])"
        );
    }

    #[test]
    fn what_no_configuration_has_is_an_error() {
        assert!(Shape::of::<u32>().is_err());
        assert!(Shape::of::<Vec<(bool, bool)>>().is_err());
    }
}
