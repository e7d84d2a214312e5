"""An expense report: a human approves, a payment service fails half the time."""
