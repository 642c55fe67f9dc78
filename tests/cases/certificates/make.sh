#!/bin/sh
# Makes the certificates of this folder anew with OpenSSL 3, in a temporary folder that keeps the keys. Thumbprints,
# and so the expected values of tests/suite/inventory.rs, are others then.
set -eu

target=$(cd "$(dirname "$0")" && pwd)
cd "$(mktemp -d)"
openssl ecparam -name secp384r1 -genkey -noout -out ca.key
openssl genrsa -out mail.key 2048
openssl genpkey -algorithm ed25519 -out ed25519.key
cat > ca.cnf <<'CNF'
[ca]
default_ca = d
[d]
database = ./index.txt
serial = ./serial
new_certs_dir = .
unique_subject = no
policy = p
[p]
countryName = optional
stateOrProvinceName = optional
localityName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
emailAddress = optional
domainComponent = optional
serialNumber = optional
2.5.4.97 = optional
CNF
: > index.txt

# issue NAME KEY SERIAL SUBJECT NOT_BEFORE NOT_AFTER EXTENSIONS OPTION...
issue() {
    name=$1 key=$2 serial=$3 subject=$4 from=$5 to=$6 extensions=$7
    shift 7
    printf '[e]\n%b' "$extensions" > extensions.cnf
    echo "$serial" > serial
    openssl req -new -utf8 -key "$key" -subj "$subject" -multivalue-rdn -out "$name.csr"
    openssl ca -batch -notext -preserveDN -config ca.cnf -in "$name.csr" -startdate "$from" -enddate "$to" \
        -extfile extensions.cnf -extensions e -out "$name.pem" "$@"
}

issue ca ca.key 01 '/C=DE/ST=Bayern/O=Contoso, Ltd./OU=The "A" Team/CN=Lübeck Issuing CA' \
    20200101000000Z 99991231235959Z \
    'basicConstraints=critical,CA:true\n' \
    -selfsign -keyfile ca.key -md sha384
issue mail mail.key 00F1E2D3C4B5A69788 \
    '/C=US/ST=Washington/L=Redmond/O=Contoso/CN=mail.contoso.com/emailAddress=postmaster@contoso.com' \
    260101120001Z 270630235958Z \
    'subjectAltName=DNS:Mail.Contoso.com,email:a@contoso.com,IP:192.0.2.1,URI:https://contoso.com/,DNS:*.contoso.com,DNS:autodiscover.contoso.com\nextendedKeyUsage=serverAuth,clientAuth\n1.3.6.1.4.1.55555.1=critical,ASN1:NULL\n' \
    -cert ca.pem -keyfile ca.key -md sha384
issue ed25519 ed25519.key 7FFF '/DC=com/DC=contoso/OU=Exchange+CN=ex01.contoso.com' \
    491231235959Z 20500101000000Z \
    'extendedKeyUsage=anyExtendedKeyUsage\n' \
    -selfsign -keyfile ed25519.key -md null
issue pss mail.key 0A '/CN=pss.contoso.com/2.5.4.97=VATDE-123456789/serialNumber=HRB 1/O= blanks ' \
    260101000000Z 260201000000Z \
    'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:pss.contoso.com\n' \
    -selfsign -keyfile mail.key -md sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32

openssl x509 -in mail.pem -outform DER -out mail.cer
openssl x509 -in mail.pem -trustout -addtrust serverAuth -out trusted.pem
openssl crl2pkcs7 -nocrl -certfile mail.pem -outform DER -out mail.p7b
openssl crl2pkcs7 -nocrl -certfile mail.pem -out mail-pkcs7.pem
openssl pkcs12 -export -nokeys -in mail.pem -passout pass: -out mail.p12
{
    openssl x509 -in ca.pem -subject -issuer -nameopt RFC2253
    printf '\nAnd the one that is presented:\n\n'
    openssl x509 -in mail.pem
} | sed 's/$/\r/' > bundle.pem
cp ca.pem ed25519.pem pss.pem trusted.pem bundle.pem mail-pkcs7.pem mail.cer mail.p7b mail.p12 "$target"
