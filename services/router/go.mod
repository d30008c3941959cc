module github.com/kubescribe/kubescribe/services/router

go 1.26.0

require github.com/kubescribe/kubescribe/shared v0.0.0

replace github.com/kubescribe/kubescribe/shared => ../../shared
