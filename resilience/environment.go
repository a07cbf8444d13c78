package resilience

import "time"

// Environment is a set of settings that suits a network. Its values go into the
// options of this package: a change to one of them is a change to a copy.
type Environment struct {
	// Name is the environment's name.
	Name string
	// Backoff is for [NewBackoff].
	Backoff BackoffOptions
	// HeartbeatInterval is for [PeerOptions].
	HeartbeatInterval time.Duration
	// Timeout is the default for [TimeoutOptions].
	Timeout time.Duration
}

// The environments of the reference's documents, with their delays, retries,
// intervals and timeouts. The spreads are ours.
var (
	// EnvironmentDefault is what is used when nothing is said.
	EnvironmentDefault = Environment{
		Name:              "default",
		Backoff:           BackoffOptions{Policy: Exponential, Initial: DefaultInitialDelay, Max: DefaultMaxDelay, Multiplier: DefaultMultiplier, Retries: DefaultRetries, Spread: DefaultSpread},
		HeartbeatInterval: 30 * time.Second,
		Timeout:           DefaultTimeout,
	}
	// EnvironmentLocal is for a local network with a few clients: it is back
	// soon, and gives up soon.
	EnvironmentLocal = Environment{
		Name:              "local",
		Backoff:           BackoffOptions{Policy: Linear, Initial: time.Second, Max: 10 * time.Second, Retries: 3, Spread: time.Second},
		HeartbeatInterval: 20 * time.Second,
		Timeout:           60 * time.Second,
	}
	// EnvironmentInternet is for many clients over the internet: of 1,000 that
	// lost their server together, no 100 ms bring back more than 5 %.
	EnvironmentInternet = Environment{
		Name:              "internet",
		Backoff:           BackoffOptions{Policy: Exponential, Initial: 2 * time.Second, Max: 60 * time.Second, Retries: 5, Spread: 10 * time.Second},
		HeartbeatInterval: 30 * time.Second,
		Timeout:           120 * time.Second,
	}
	// EnvironmentUnreliable gives a bad network time.
	EnvironmentUnreliable = Environment{
		Name:              "unreliable",
		Backoff:           BackoffOptions{Policy: Exponential, Initial: 5 * time.Second, Max: 300 * time.Second, Retries: 10, Spread: 10 * time.Second},
		HeartbeatInterval: 60 * time.Second,
		Timeout:           180 * time.Second,
	}
)

// The backoffs of the reference's programs, for [NewBackoff].
var (
	// BackoffDeviceClient is that of its device endpoint.
	BackoffDeviceClient = BackoffOptions{Policy: Exponential, Initial: 2 * time.Second, Max: 60 * time.Second, Retries: 3}
	// BackoffGalaxy is that of its orchestrator: the same delay each time.
	BackoffGalaxy = BackoffOptions{Policy: Exponential, Initial: 5 * time.Second, Multiplier: 1, Retries: 5, Spread: 5 * time.Second}
)
