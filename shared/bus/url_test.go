package bus

import (
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"nats://127.0.0.1:4222":              true,
		"tls://a.example.com":                true,
		"nats://a:4222,nats://b:4222":        true,
		"":                                   false,
		"here":                               false,
		"nats://a:4222,":                     false,
		"nats://user:s3cret@b:4222":          false,
		"nats://a,nats://user:s3cret@b:4222": false,
		"nats://a:4222, nats://user:s3cret@b:422": false,
	} {
		err := CheckURL(url)
		if (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestCursor(t *testing.T) {
	for _, c := range []Cursor{{}, {Seq: 7}, {Seq: 7, ID: "a-b_c"}, {Seq: 7, ID: " a b = % ", After: "ks.live.d.0.1.a.b.c"}, {Seq: 1, ID: "-"}, {Seq: 1, ID: "="}} {
		got, err := ParseCursor(strings.TrimSpace(c.String()))
		if err != nil || got != c {
			t.Errorf("%+v is read as %+v, %v", c, got, err)
		}
	}
	for _, s := range []string{"", "7", "x -", "7 id", "7 =%zz", "7 - a b"} {
		if _, err := ParseCursor(s); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}
