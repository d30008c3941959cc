module github.com/kubescribe/kubescribe/services/kubescribe

go 1.26.0

require (
	github.com/kubescribe/kubescribe/services/git-writer v0.0.0
	github.com/kubescribe/kubescribe/services/reconciler v0.0.0
	github.com/kubescribe/kubescribe/services/router v0.0.0
	github.com/kubescribe/kubescribe/services/stream v0.0.0
	github.com/kubescribe/kubescribe/services/watcher v0.0.0
	github.com/kubescribe/kubescribe/shared v0.0.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/gofrs/flock v0.13.2 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nats-server/v2 v2.15.2 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.47.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace (
	github.com/kubescribe/kubescribe/services/git-writer => ../git-writer
	github.com/kubescribe/kubescribe/services/reconciler => ../reconciler
	github.com/kubescribe/kubescribe/services/router => ../router
	github.com/kubescribe/kubescribe/services/stream => ../stream
	github.com/kubescribe/kubescribe/services/watcher => ../watcher
	github.com/kubescribe/kubescribe/shared => ../../shared
)
