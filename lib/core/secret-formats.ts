// Regular expression sources for tokens that are recognised by their form.
export const secretFormats: readonly string[] = [
  // Keys of OpenAI, Anthropic, OpenRouter, Stripe and the many services that copied their form.
  String.raw`\bsk-[A-Za-z0-9_-]{20,}`,
  String.raw`\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}`,
  // Tokens of GitHub, GitLab, npm, Hugging Face, Slack, Google and AWS.
  String.raw`\bgh[pousr]_[A-Za-z0-9]{30,}`,
  String.raw`\bgithub_pat_[A-Za-z0-9_]{30,}`,
  String.raw`\bglpat-[A-Za-z0-9_-]{20,}`,
  String.raw`\bnpm_[A-Za-z0-9]{30,}`,
  String.raw`\bhf_[A-Za-z0-9]{30,}`,
  String.raw`\bxox[abprs]-[A-Za-z0-9-]{10,}`,
  String.raw`\bAIza[A-Za-z0-9_-]{35}`,
  String.raw`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`,
  // The value of an Authorization header, a JSON web token, the password inside a URL.
  String.raw`(?<=\b[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*`,
  String.raw`\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`,
  String.raw`(?<=://[^\s/:@]{1,64}:)[^\s/@]{3,128}(?=@)`,
]
