module github.com/kubescribe/kubescribe/test/e2e

go 1.26.0

require (
	github.com/kubescribe/kubescribe/shared v0.0.0
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nats.go v1.55.0
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
	k8s.io/client-go v0.37.2
	sigs.k8s.io/yaml v1.6.0
)

replace github.com/kubescribe/kubescribe/shared => ../../shared
