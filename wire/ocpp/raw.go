package ocpp

// SendRaw writes bytes as one frame, whatever they are: for tests of what a peer does with them.
func SendRaw(c *Conn, frame []byte) error {
	return c.send(func(b []byte) []byte { return append(b, frame...) })
}
