package bus

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/kubescribe/kubescribe/shared/subject"
)

// Access is how the NATS server is reached, and as whom. What its files hold is read at each
// connection that is made: where it changes, nothing needs to be started again.
type Access struct {
	URL          string // of one server, or of several with commas between
	Creds        string // file of a user's JWT and seed, as nsc writes it; "" for none
	User         string // whose password PasswordFile holds; "" for that of Config.As
	PasswordFile string // "" for none
	CA           string // file of the authorities that the server is trusted by; "" for the system's
	Cert, Key    string // files of a certificate that the server asks for; "" for none
}

// Flags declares the flags that say it.
func (a *Access) Flags(stringVar func(p *string, name, value, usage string), url string, as subject.User) {
	stringVar(&a.URL, "nats", url, "`URL` of the NATS server, or of several with commas between")
	stringVar(&a.Creds, "nats-creds", "", "`file` with NATS user credentials: a JWT and a seed, as nsc writes them")
	stringVar(&a.User, "nats-user", "", "`name` of the NATS user whose password --nats-password-file holds (default: "+string(as)+")")
	stringVar(&a.PasswordFile, "nats-password-file", "", "`file` with the password of the NATS user")
	stringVar(&a.CA, "nats-ca", "", "`file` with the certificate authorities, in PEM, that the NATS server is trusted by instead of the system's")
	stringVar(&a.Cert, "nats-cert", "", "`file` with the client certificate, in PEM, that the NATS server asks for")
	stringVar(&a.Key, "nats-key", "", "`file` with the key of --nats-cert, in PEM")
}

// Args are the flags as they are typed.
func (a Access) Args() (args []string) {
	for _, f := range []struct{ flag, value string }{
		{"--nats", a.URL},
		{"--nats-creds", a.Creds},
		{"--nats-user", a.User},
		{"--nats-password-file", a.PasswordFile},
		{"--nats-ca", a.CA},
		{"--nats-cert", a.Cert},
		{"--nats-key", a.Key},
	} {
		if f.value != "" {
			args = append(args, f.flag, f.value)
		}
	}
	return args
}

// Check refuses what cannot be meant, and files that do not hold what they should: by the
// names of the flags, and without what the files hold.
func (a Access) Check() error {
	if err := CheckURL(a.URL); err != nil {
		return fmt.Errorf("--nats: %w", err)
	}
	if err := CheckCreds(a.Creds); err != nil {
		return fmt.Errorf("--nats-creds: %w", err)
	}
	if a.Creds != "" && a.PasswordFile != "" {
		return errors.New("--nats-creds and --nats-password-file exclude each other: each says who this is")
	}
	if a.PasswordFile != "" {
		if _, err := a.password(); err != nil {
			return fmt.Errorf("--nats-password-file: %w", err)
		}
	} else if a.User != "" {
		return errors.New("--nats-user needs --nats-password-file: what is its password?")
	}
	if a.CA != "" {
		pem, err := os.ReadFile(a.CA)
		if err != nil {
			return fmt.Errorf("--nats-ca: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("--nats-ca: the file %s holds no certificate in PEM", a.CA)
		}
	}
	switch {
	case a.Cert == "" && a.Key == "":
		return nil
	case a.Cert == "":
		return errors.New("--nats-key needs --nats-cert: which certificate is it the key of?")
	case a.Key == "":
		return errors.New("--nats-cert needs --nats-key")
	}
	if _, err := tls.LoadX509KeyPair(a.Cert, a.Key); err != nil {
		return fmt.Errorf("--nats-cert and --nats-key: %w", err)
	}
	return nil
}

// password is what the file holds, without the line's end.
func (a Access) password() (string, error) {
	b, err := os.ReadFile(a.PasswordFile)
	if err != nil {
		return "", err
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 || bytes.ContainsAny(b, "\r\n") {
		return "", fmt.Errorf("the file %s does not hold a password, on one line", a.PasswordFile)
	}
	return string(b), nil
}

// options are the library's, for a user who is named if nobody else is.
func (a Access) options(as subject.User, log *slog.Logger) (opts []nats.Option) {
	if a.Creds != "" {
		opts = append(opts, nats.UserCredentials(a.Creds))
	}
	if a.PasswordFile != "" {
		opts = append(opts, nats.UserInfoHandler(func() (user, password string) {
			password, err := a.password()
			if err != nil {
				log.Warn("the password of the NATS user cannot be read", "err", err)
			}
			return cmp.Or(a.User, string(as)), password
		}))
	}
	if a.CA != "" {
		opts = append(opts, nats.RootCAs(a.CA))
	}
	if a.Cert != "" {
		opts = append(opts, nats.ClientCert(a.Cert, a.Key))
	}
	return opts
}

// CheckURL refuses what is no server's URL, or list of them with commas between,
// and one that holds credentials, without repeating it.
func CheckURL(raw string) error {
	if strings.Contains(raw, "@") {
		return errors.New("the NATS URL holds credentials, which would end up in logs: put them into a credentials file")
	}
	for one := range strings.SplitSeq(raw, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err != nil || u.Host == "" {
			return errors.New("the NATS URL is not one: write it like nats://127.0.0.1:4222, and several with commas between")
		}
	}
	return nil
}

// CheckCreds refuses a file that holds no user credentials, as nsc and nk write
// them: a JWT and the seed of its key. "" stands for none.
func CheckCreds(file string) error {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading NATS credentials: %w", err)
	}
	jwt, jwtErr := nkeys.ParseDecoratedJWT(b)
	key, seedErr := nkeys.ParseDecoratedUserNKey(b)
	if jwtErr != nil || seedErr != nil || strings.Count(jwt, ".") != 2 {
		return fmt.Errorf("the file %s holds no NATS user credentials (a JWT and a seed, as nsc generate creds writes them)", file)
	}
	key.Wipe()
	return nil
}
