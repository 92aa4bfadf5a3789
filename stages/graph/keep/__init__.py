"""What is kept: results, links, receipts, and remote stores of them."""
