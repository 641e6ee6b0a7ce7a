def digest(text): return text[:100].decode('utf-8','replace')
