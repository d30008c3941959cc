package main

import (
	"fmt"
	"strconv"
	"strings"
)

// sizes is a flag of numbers with commas between; empty for none.
type sizes []int

func (s *sizes) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*s)), " ", ","), "[]")
}

func (s *sizes) Set(text string) error {
	*s = nil
	for word := range strings.SplitSeq(text, ",") {
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 10 {
			return fmt.Errorf("%q is not a number of objects, 10 at least", word)
		}
		*s = append(*s, n)
	}
	return nil
}
