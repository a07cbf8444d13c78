//go:build !race

package transporttest

// raceDetector: the race detector is on.
const raceDetector = false
