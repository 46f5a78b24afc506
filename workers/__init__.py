"""What happens later, each piece safe to run twice."""
