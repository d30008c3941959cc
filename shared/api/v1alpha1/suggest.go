package v1alpha1

import "strings"

// maxSuggestions and maxSuggested bound the work that a hostile file can cause.
const (
	maxSuggestions = 64
	maxSuggested   = 64
)

// nearest is the candidate that name is most likely a misspelling of, or empty.
func nearest(name string, candidates []string) string {
	if len(name) > maxSuggested || len(candidates) > maxSuggestions {
		return ""
	}
	best, bestDistance := "", 3
	for _, c := range candidates {
		d := distance(strings.ToLower(name), strings.ToLower(c))
		if len(c) < 4 && d > 1 {
			continue
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
