//! Certificates made by hand, for what no tool would issue. Their signatures are zeros.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

/// An element with a definite length.
pub(in crate::pipeline::inventory) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let digits = &length[zeros..];
    let mut der = vec![tag];
    if content.len() >= 0x80 {
        der.push(0x80 | u8::try_from(digits.len()).unwrap());
    } else if content.is_empty() {
        der.push(0);
    }
    der.extend(digits);
    der.extend(content);
    der
}

/// An OBJECT IDENTIFIER by its dotted form; numbers below 2^14.
pub(in crate::pipeline::inventory) fn oid(dotted: &str) -> Vec<u8> {
    let mut numbers = dotted
        .split('.')
        .map(|number| number.parse::<u64>().unwrap());
    let first = numbers.next().unwrap() * 40 + numbers.next().unwrap();
    let mut content = Vec::new();
    for number in std::iter::once(first).chain(numbers) {
        let groups = (0..10).rev().map(|group| (number >> (7 * group)) & 0x7F);
        let groups: Vec<u64> = groups.skip_while(|group| *group == 0).collect();
        let (last, leading) = groups.split_last().unwrap_or((&0, &[]));
        content.extend(
            leading
                .iter()
                .map(|group| 0x80 | u8::try_from(*group).unwrap()),
        );
        content.push(u8::try_from(*last).unwrap());
    }
    tlv(0x06, &[&content])
}

/// A name: RDNs of type, tag of the string and its bytes, in the order of the encoding.
pub(in crate::pipeline::inventory) fn name(rdns: &[&[(&str, u8, &[u8])]]) -> Vec<u8> {
    let rdn = |rdn: &&[(&str, u8, &[u8])]| {
        let attributes: Vec<u8> = rdn
            .iter()
            .flat_map(|(kind, tag, value)| tlv(0x30, &[&oid(kind), &tlv(*tag, &[value])]))
            .collect();
        tlv(0x31, &[&attributes])
    };
    let rdns: Vec<u8> = rdns.iter().flat_map(rdn).collect();
    tlv(0x30, &[&rdns])
}

/// An extension, its value wrapped in the OCTET STRING.
pub(in crate::pipeline::inventory) fn extension(
    kind: &str,
    critical: bool,
    value: &[u8],
) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xFF] } else { &[] };
    tlv(0x30, &[&oid(kind), critical, &tlv(0x04, &[value])])
}

/// The parts of a certificate, encoded.
pub(in crate::pipeline::inventory) struct Specimen {
    pub(in crate::pipeline::inventory) version: Vec<u8>,
    pub(in crate::pipeline::inventory) serial: Vec<u8>,
    pub(in crate::pipeline::inventory) issuer: Vec<u8>,
    pub(in crate::pipeline::inventory) not_before: Vec<u8>,
    pub(in crate::pipeline::inventory) not_after: Vec<u8>,
    pub(in crate::pipeline::inventory) subject: Vec<u8>,
    pub(in crate::pipeline::inventory) key: Vec<u8>,
    pub(in crate::pipeline::inventory) signature: Vec<u8>,
    pub(in crate::pipeline::inventory) extensions: Vec<Vec<u8>>,
}

impl Default for Specimen {
    fn default() -> Self {
        Self {
            version: tlv(0xA0, &[&[2, 1, 2]]),
            serial: vec![2, 1, 1],
            issuer: name(&[&[("2.5.4.3", 0x0C, b"CA")]]),
            not_before: tlv(0x17, &[b"260101000000Z"]),
            not_after: tlv(0x17, &[b"270101000000Z"]),
            subject: name(&[&[("2.5.4.3", 0x0C, b"mail.contoso.com")]]),
            key: tlv(
                0x30,
                &[&tlv(0x30, &[&oid("1.3.101.112")]), &tlv(3, &[&[0; 33]])],
            ),
            signature: tlv(0x30, &[&oid("1.3.101.112")]),
            extensions: Vec::new(),
        }
    }
}

impl Specimen {
    pub(in crate::pipeline::inventory) fn der(&self) -> Vec<u8> {
        let extensions = match self.extensions.concat() {
            none if none.is_empty() => none,
            list => tlv(0xA3, &[&tlv(0x30, &[&list])]),
        };
        let body = tlv(
            0x30,
            &[
                &self.version,
                &self.serial,
                &self.signature,
                &self.issuer,
                &tlv(0x30, &[&self.not_before, &self.not_after]),
                &self.subject,
                &self.key,
                &extensions,
            ],
        );
        tlv(0x30, &[&body, &self.signature, &tlv(3, &[&[0; 65]])])
    }
}
