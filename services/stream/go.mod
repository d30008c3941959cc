module github.com/kubescribe/kubescribe/services/stream

go 1.26.0

require github.com/kubescribe/kubescribe/shared v0.0.0

require github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect

replace github.com/kubescribe/kubescribe/shared => ../../shared
