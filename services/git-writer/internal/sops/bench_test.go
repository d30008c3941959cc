package sops

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/recipient"
)

// BenchmarkEncrypt is of a Secret of a certificate and its key, to two recipients.
func BenchmarkEncrypt(b *testing.B) {
	plain, to := certificate(b)
	mark := markOf(plain)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encrypt(plain, to, mark, now, secretFields); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	plain, to := certificate(b)
	file := encrypt(b, plain, to)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(file); err != nil {
			b.Fatal(err)
		}
	}
}

func certificate(b *testing.B) (plain []byte, to recipient.List) {
	return secretOf(b, map[string]any{"tls.crt": base64Of(string(make([]byte, 2000))), "tls.key": base64Of(string(make([]byte, 1700)))}), recipientsOf(b, newReader(b), newReader(b))
}
