//! DER, as far as stores and certificates have to be taken apart by hand.

/// Tags that certificates and keys are made of.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    /// `[0]`, constructed: the version of a certificate.
    pub(crate) const VERSION: u8 = 0xa0;
}

/// One element: its tag, its bytes with tag and length, and its bytes without.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
}

/// The elements that follow each other in some bytes.
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Reads from the beginning of some bytes.
    pub(crate) fn of(bytes: &'a [u8]) -> Elements<'a> {
        Elements { rest: bytes }
    }

    /// The next element, if it has this tag; nothing is taken otherwise.
    pub(crate) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        let (element, rest) = split(self.rest)?;
        if element.tag != tag {
            return None;
        }
        self.rest = rest;
        Some(element)
    }

    /// The next element, whatever its tag is.
    pub(crate) fn take_any(&mut self) -> Option<Element<'a>> {
        let (element, rest) = split(self.rest)?;
        self.rest = rest;
        Some(element)
    }

    /// What was not taken.
    pub(crate) fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was taken.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

/// The elements inside the only element of some bytes, which has this tag.
pub(crate) fn inside(bytes: &[u8], tag: u8) -> Option<Elements<'_>> {
    let mut outer = Elements::of(bytes);
    let element = outer.take(tag)?;
    outer.is_at_end().then(|| Elements::of(element.content))
}

/// The bits of a bit string that ends at a whole octet.
pub(crate) fn octets_of_bits(content: &[u8]) -> Option<&[u8]> {
    match content.split_first() {
        Some((0, octets)) => Some(octets),
        Some(_) | None => None,
    }
}

/// The first element and what follows it. Lengths are definite and as short as they can be.
fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = octets.iter().fold(0_u64, |sum, &octet| sum << 8 | u64::from(octet));
            if octets[0] == 0 || length < 0x80 {
                return None;
            }
            (usize::try_from(length).ok()?, rest)
        }
        0x80 | 0x85.. => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    let whole = &bytes[..bytes.len() - after.len()];
    Some((Element { tag, whole, content }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_all_forms_of_length_are_read() {
        let mut long = vec![tag::OCTET_STRING, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        for (bytes, content) in [(&[4, 1, 9][..], 1), (&[4, 0], 0), (&long, 256)] {
            let mut elements = Elements::of(bytes);
            let element = elements.take(tag::OCTET_STRING).expect("it is one");
            assert_eq!((element.whole, element.content.len()), (bytes, content));
            assert!(elements.is_at_end());
        }
    }

    #[test]
    fn lengths_that_are_not_der_are_refused() {
        let bad: [&[u8]; 8] = [
            &[],
            &[4],
            &[4, 2, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 0x7f],
            &[4, 0x82, 0x00, 0x80],
            &[4, 0x85, 0, 0, 0, 0, 1],
            &[0x1f, 1, 0],
        ];
        for bytes in bad {
            assert!(Elements::of(bytes).take(tag::OCTET_STRING).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn an_element_of_another_tag_is_left_where_it_is() {
        let mut elements = Elements::of(&[4, 0]);
        assert!(elements.take(tag::SEQUENCE).is_none());
        assert!(elements.take(tag::OCTET_STRING).is_some());
    }
}
