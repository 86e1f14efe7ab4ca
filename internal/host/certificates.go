package host

// Bundles are where distributions have the certificates that they trust, as crypto/x509 looks for them.
var Bundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"}

// certificates says whether there is a file of trusted certificates, in whose place gm-webrecord and gm-webreplay put one
// that has theirs too.
func (m *Machine) certificates() Finding {
	for _, path := range Bundles {
		if m.exists(path) {
			return Finding{Name: "certificates", OK: true, Says: "trusted ones are in " + path}
		}
	}
	return Finding{Name: "certificates", Says: "there is no file of trusted ones", Mend: "sudo apt-get install ca-certificates",
		Means: "gm-webrecord and gm-webreplay cannot make programs trust them: they will not start"}
}
