// Package sops writes sensitive objects as files that the stock sops decrypts, and tells from
// such a file, without any key, what it holds.
//
// The format is that of SOPS for YAML (https://getsops.io/docs), with age recipients: a random
// data key for each file, age-encrypted to each recipient, AES-256-GCM for each value, with
// the path of its field as additional data, and a digest of all values (the MAC), which is
// encrypted, too. Only the values of some fields are encrypted, and only they are in the MAC
// (mac_only_encrypted), so everything else can be read and compared as in any other file:
//
//	# Kubescribe-Content: hmac-sha256:0123456789abcdef:…   what it is (package secretmark)
//	# Kubescribe-File: sha256:…                            that nobody else wrote to it since
//	apiVersion: v1
//	kind: Secret
//	metadata:
//	  name: db
//	data:
//	  password: ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]
//	sops:
//	  age:
//	  - enc: |
//	      -----BEGIN AGE ENCRYPTED FILE-----
//	      …
//	    recipient: age1…
//	  encrypted_regex: ^(annotations|data|stringData)$
//	  lastmodified: "2026-03-14T15:09:26Z"
//	  mac: ENC[AES256_GCM,…]
//	  mac_only_encrypted: true
//	  version: "3.9.0"
//
// Why it is not written with sops' own library, and why the mark is a comment, is in
// docs/adr/0009-encryption.md. No error of this package holds a value.
package sops
