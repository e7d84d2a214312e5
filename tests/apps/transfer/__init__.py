"""A money transfer: two child workflows and a refund when the second fails."""
