package bus

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestAccess types flags: what is not meant is refused by its name, without what a file holds, and
// what is taken is typed the same way again.
func TestAccess(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"password": "s3cret\n", "empty": "\n", "lines": "s3cret\ns3cret\n", "junk": "s3cret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ args, refused string }{
		{args: ""},
		{args: "--nats nats://a:1,nats://b:1"},
		{args: "--nats nats://me:s3cret@a:1", refused: "--nats: the NATS URL holds credentials"},
		{args: "--nats-password-file DIR/password"},
		{args: "--nats-password-file DIR/password --nats-user me"},
		{args: "--nats-user me", refused: "--nats-user needs --nats-password-file"},
		{args: "--nats-password-file DIR/missing", refused: "--nats-password-file: open DIR/missing"},
		{args: "--nats-password-file DIR/empty", refused: "--nats-password-file: the file DIR/empty does not hold a password"},
		{args: "--nats-password-file DIR/lines", refused: "--nats-password-file: the file DIR/lines does not hold a password"},
		{args: "--nats-creds DIR/junk", refused: "--nats-creds: the file DIR/junk holds no NATS user credentials"},
		{args: "--nats-ca DIR/missing", refused: "--nats-ca: open DIR/missing"},
		{args: "--nats-ca DIR/junk", refused: "--nats-ca: the file DIR/junk holds no certificate"},
		{args: "--nats-cert DIR/junk", refused: "--nats-cert needs --nats-key"},
		{args: "--nats-key DIR/junk", refused: "--nats-key needs --nats-cert"},
		{args: "--nats-cert DIR/junk --nats-key DIR/junk", refused: "--nats-cert and --nats-key: tls: failed to find"},
	} {
		args := strings.Fields(strings.ReplaceAll(tt.args, "DIR", dir))
		a, err := parseAccess(args)
		if err != nil {
			t.Fatal(tt.args, err)
		}
		err = a.Check()
		want := strings.ReplaceAll(tt.refused, "DIR", dir)
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", tt.args, err, want)
		}
		if again, err := parseAccess(a.Args()); err != nil || again != a {
			t.Errorf("%s is typed again as %q, %v", tt.args, a.Args(), err)
		}
	}
}

func parseAccess(args []string) (a Access, err error) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	a.Flags(fs.StringVar, "nats://127.0.0.1:4222", subject.UserRouter)
	return a, fs.Parse(args)
}
