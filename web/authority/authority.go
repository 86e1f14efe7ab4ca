// Package authority makes certificates for names on the fly, signed by a key that lives as long as the process.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"time"
)

// An Authority is a CA. It may be used by several goroutines.
type Authority struct {
	key  *ecdsa.PrivateKey // of the authority and of all certificates
	cert *x509.Certificate

	mu    sync.Mutex
	known map[string]*tls.Certificate
}

// lifetime is less than what browsers allow, 398 days.
const lifetime = 90 * 24 * time.Hour

// New makes an authority of its own name.
func New(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(name)
	t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	a := &Authority{key: key, known: map[string]*tls.Certificate{}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"gomahi"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(lifetime), BasicConstraintsValid: true}
}

// PEM is the authority's certificate, for those who are to trust it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// SPKI is the hash of its public key as browsers' --ignore-certificate-errors-spki-list takes it.
func (a *Authority) SPKI() string {
	h := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(h[:])
}

// Certificate returns one for a host name or an address.
func (a *Authority) Certificate(name string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.known[name]; c != nil {
		return c, nil
	}
	t := template("")
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip := net.ParseIP(name); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, a.key.Public(), crypto.Signer(a.key))
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: a.key}
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.known[name] = c
	return c, nil
}
