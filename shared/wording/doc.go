// Package wording makes the subject and the body of commit messages from templates
// that people write into a configuration.
//
// The templates are Go's (text/template), without what could run long, grow without
// bound or fail where a commit is made: the fields of a [Commit], text, if, with, one
// range over .Changes, comparisons. [Parse] holds a template against all of that,
// and against samples of every kind of commit. So it is refused where it is written,
// and not where it is used.
package wording
