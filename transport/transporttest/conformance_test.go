package transporttest

import "testing"

func TestFramed(t *testing.T) { Run(t, framedHarness(FaultyNetwork, correct)) }

func TestFramedSockets(t *testing.T) { Run(t, framedHarness(Sockets, correct)) }
